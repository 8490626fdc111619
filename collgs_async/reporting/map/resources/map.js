// The map: a canvas for everything static, one above it for highlighted scenes, and one for labels.

const DEEPEST = 12; // scenes in a stack that shine through
const MOST_PICTURES = 160; // that are draped at a time, the topmost ones

function createMap(store, colours, area, projection, pictures, background) {
  const ground = createCanvas(document.getElementById("ground"));
  const raised = createCanvas(document.getElementById("raised"));
  const names = createCanvas(document.getElementById("names"));
  const [tints, layer] = [1, 2].map(() => document.createElement("canvas").getContext("2d"));
  const frame = document.getElementById("map");
  const view = createView(projection);
  const world = createWorld(projection);
  const tiles = createTiles(background, view, projection, redraw);
  const labels = createLabels(world);
  const shapes = store.scenes.map((scene) => projectedShape(scene.shape, projection));
  const frames = store.scenes.map((scene) => projectedFrame(scene, projection));
  const areaShape = projectedShape(area, projection);
  const whole = extent([...shapes, areaShape].filter(Boolean).flatMap((shape) => shape.boxes));
  const followers = []; // called once the view has changed
  let settling = 0;
  let isMoving = false;
  let draped = null; // the view in which the pictures were drawn; null: not in this size
  let isWaiting = false;
  let isFitted = true; // until the reader moves the map: it shows everything at any size

  // Nothing covers a scene then: the legend is above the map, and the buttons are within the insets.
  function fit() {
    const inset = view.width < 480 ? 24 : 56;
    view.fit(whole ?? { left: 0, right: 1, top: 0.2, bottom: 0.75 }, { left: inset, right: 70, top: inset, bottom: inset });
    isFitted = true;
    follow();
  }

  function moved() {
    isFitted = false;
    follow();
  }

  // After a change of view: draw in the next frame, and place the labels once the view is at rest.
  function follow() {
    clearTimeout(settling);
    isMoving = true;
    settling = setTimeout(settle, 120);
    redraw();
    for (const follower of followers) follower();
  }

  function settle() {
    isMoving = false;
    labels.settle(names.context, view);
    if (store.layers.tiles) tiles.request();
    redraw();
  }

  function redraw() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      drawGround();
      drawRaised();
    });
  }

  function resize() {
    if (!frame.clientWidth || !frame.clientHeight) return; // in a frame that has no room yet
    const isFirst = view.width === 1;
    raised.fit();
    names.fit();
    if (!ground.fit() && !isFirst) return;
    view.resize(ground.width, ground.height);
    draped = null;
    if (isFitted) fit();
    else follow();
    if (isFirst) labels.settle(names.context, view);
    drawGround(); // at once, for a canvas of a new size is empty
    drawRaised();
  }

  function drawGround() {
    const { context } = ground;
    const { theme } = colours;
    const grid = graticule(view, projection, view.width < 480 ? 90 : 120);
    const { layers } = store;
    const drawn = pickedLast();
    const places = layers.footprints ? seen(drawn) : [];
    world.drawLand(context, view, theme);
    const hasTiles = layers.tiles && tiles.draw(context);
    if (hasTiles && colours.isDark) darken(context, theme);
    drawTints(context, places);
    if (layers.pictures) drawPictures(context, drawn);
    if (!hasTiles) world.drawLines(context, view, theme);
    drawGraticule(context, grid, theme);
    drawOutlines(context, places);
    if (layers.area) drawArea(context, theme);
    names.clear();
    labels.draw(names.context, view, theme, covered(), grid, { areDegreesOnly: hasTiles });
    document.getElementById("credit").textContent = hasTiles ? background.credit : "Natural Earth";
    drawScale();
  }

  // Tiles are usually drawn on white, which would glare.
  function darken(context, theme) {
    context.save();
    Object.assign(context, { globalAlpha: 0.45, fillStyle: theme.land });
    context.fillRect(0, 0, view.width, view.height);
    context.restore();
  }

  // However many scenes overlap, the map stays visible: their colours are blended first, and drawn as one layer.
  function drawTints(context, places) {
    prepareLayer(tints);
    for (const place of places) {
      tints.fillStyle = colours.ramp(store.colour, store.share(store.scenes[place]), store.picked.has(place) ? 0.8 : 0.3);
      fillShape(tints, shapes[place]);
    }
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 0.38;
    context.drawImage(tints.canvas, 0, 0);
    context.restore();
  }

  // Clear a layer, and give it the size and scale of the ground.
  function prepareLayer(context) {
    const { width, height } = ground.element;
    if (context.canvas.width !== width || context.canvas.height !== height) Object.assign(context.canvas, { width, height });
    context.setTransform(ground.context.getTransform());
    context.clearRect(0, 0, view.width, view.height);
  }

  // While the map moves, the pictures move as they were drawn last, and are drawn anew once it is at rest.
  function drawPictures(context, places) {
    if (!isMoving || !draped) drapeAll(places);
    const factor = view.scale / draped.scale;
    const shift = draped.x - view.x;
    const turns = projection.isRound ? Math.round(shift) : 0;
    const left = view.width / 2 + (shift - turns) * view.scale - (view.width / 2) * factor;
    const top = view.height / 2 + (draped.y - view.y) * view.scale - (view.height / 2) * factor;
    context.drawImage(layer.canvas, left, top, view.width * factor, view.height * factor);
  }

  // Pictures hide what is below them, so of scenes that coincide only the topmost one has its picture drawn.
  function drapeAll(places) {
    draped = { x: view.x, y: view.y, scale: view.scale };
    prepareLayer(layer);
    const isHere = (place) => frames[place] && view.turns(frames[place]).length > 0;
    for (const place of seen(places.filter(isHere), 1).slice(-MOST_PICTURES)) drawPicture(layer, place);
  }

  function drawPicture(context, place) {
    const image = frames[place] && pictures.image(store.scenes[place].id, redraw);
    if (!image) return;
    for (const turn of view.turns(frames[place])) {
      const onScreen = frames[place].points.map((value, at) => (at % 2 ? view.screenY(value) : view.screenX(value + turn)));
      context.save();
      context.beginPath();
      for (const rings of shapes[place].polygons) {
        for (const ringTurn of view.turns(rings[0])) {
          for (const ring of rings) trace(context, view, ring, ringTurn, true);
        }
      }
      context.clip("evenodd");
      drape(context, image, onScreen);
      context.restore();
    }
  }

  // The more scenes there are, the thinner their lines, which would hide each other.
  function drawOutlines(context, places) {
    const many = store.shown.length;
    const [alpha, width] = many > 600 ? [0.5, 0.8] : many > 60 ? [0.7, 1] : [0.95, 1.3];
    for (const place of places) {
      const isPicked = store.picked.has(place);
      context.strokeStyle = colours.ramp(store.colour, store.share(store.scenes[place]), isPicked ? 1 : alpha);
      context.lineWidth = isPicked ? width + 1 : width;
      strokeShape(context, shapes[place]);
    }
  }

  function fillShape(context, shape) {
    for (const rings of shape.polygons) {
      for (const turn of view.turns(rings[0])) {
        context.beginPath();
        for (const ring of rings) trace(context, view, ring, turn, true);
        context.fill("evenodd");
      }
    }
  }

  function strokeShape(context, shape) {
    for (const rings of shape.polygons) {
      for (const turn of view.turns(rings[0])) {
        context.beginPath();
        for (const ring of rings) traceEdges(context, view, ring, turn);
        context.stroke();
      }
    }
    strokeLines(context, shape);
  }

  function strokeLines(context, shape) {
    context.beginPath();
    for (const line of shape.lines) for (const turn of view.turns(line)) traceEdges(context, view, line, turn);
    for (const { points, ...box } of shape.points) {
      for (const turn of view.turns(box)) {
        const [x, y] = [view.screenX(points[0] + turn), view.screenY(points[1])];
        context.moveTo(x + 4, y);
        context.arc(x, y, 4, 0, 7);
      }
    }
    context.stroke();
  }

  // Newest or clearest on top, however the list is sorted.
  function bottomUp() {
    const height = (place) => {
      const share = store.share(store.scenes[place]) ?? -1;
      return store.colour === "cloud" ? -share : share;
    };
    const heights = new Map(store.shown.map((place) => [place, height(place)]));
    return [...store.shown].sort((one, other) => heights.get(one) - heights.get(other));
  }

  // The drawing order: selected scenes are above all others.
  function pickedLast() {
    const drawn = bottomUp().filter((place) => shapes[place]);
    const isPicked = (place) => store.picked.has(place);
    return [...drawn.filter((place) => !isPicked(place)), ...drawn.filter(isPicked)];
  }

  // Of scenes that coincide on the screen, those hidden by the topmost ones are not drawn.
  function seen(places, deepest = DEEPEST) {
    const depths = new Map();
    const isSeen = (place) => {
      const key = shapes[place].marks.map((mark) => Math.round((mark * view.scale) / 2)).join();
      const depth = depths.get(key) ?? 0;
      depths.set(key, depth + 1);
      return depth < deepest;
    };
    return places.toReversed().filter(isSeen).toReversed();
  }

  function drawArea(context, theme) {
    if (!areaShape) return;
    const outline = (style) => {
      Object.assign(context, style);
      context.beginPath();
      for (const ring of areaShape.polygons.flat()) {
        for (const turn of view.turns(ring)) traceEdges(context, view, ring, turn);
      }
      context.stroke();
      strokeLines(context, areaShape);
    };
    outline({ strokeStyle: theme.halo, lineWidth: 4.5 });
    context.setLineDash([7, 4]);
    outline({ strokeStyle: theme.ink, lineWidth: 1.8 });
    context.setLineDash([]);
  }

  function drawRaised() {
    const { context } = raised;
    raised.clear();
    const { theme } = colours;
    for (const place of store.hovered) raise(context, place, theme, store.hovered.length > 1 ? 1.2 : 2, 0.08);
    if (store.current === null) return;
    const isPictured = store.layers.pictures && frames[store.current];
    if (isPictured) drawPicture(context, store.current);
    raise(context, store.current, theme, 2.6, isPictured ? 0 : 0.1);
  }

  function raise(context, place, theme, width, fill) {
    const shape = shapes[place];
    if (!shape) return;
    Object.assign(context, { lineJoin: "round", strokeStyle: theme.halo, lineWidth: width + 3 });
    strokeShape(context, shape);
    Object.assign(context, { fillStyle: faded(theme.accent, fill), strokeStyle: theme.accent, lineWidth: width });
    fillShape(context, shape);
    strokeShape(context, shape);
  }

  // What is drawn already, where no label may be placed.
  function covered() {
    const origin = frame.getBoundingClientRect();
    return [...frame.querySelectorAll(".card:not([hidden]), .scale, .credit")].map((element) => {
      const box = element.getBoundingClientRect();
      const [x, y] = [origin.left, origin.top];
      return { left: box.left - x - 4, right: box.right - x + 4, top: box.top - y - 4, bottom: box.bottom - y + 4 };
    });
  }

  function drawScale() {
    const metres = projection.metres(view.x, view.y) / view.scale;
    const most = metres * 110;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].find((digit) => digit * power <= most) * power;
    document.getElementById("scale-text").textContent = length >= 1000 ? `${(length / 1000).toLocaleString("en")} km` : `${length} m`;
    document.getElementById("scale-bar").style.width = `${(length / metres).toFixed(1)}px`;
  }

  // The scenes at a point, the topmost first.
  function under(x, y) {
    const [worldX, worldY] = [view.worldX(x), view.worldY(y)];
    return bottomUp().filter((place) => shapes[place] && isInside(shapes[place], worldX, worldY)).reverse();
  }

  // Move a scene into view if none of it is visible, and out from under its card where that is as wide as the map.
  function show(place) {
    const shape = shapes[place];
    if (!shape) return;
    const box = extent(shape.boxes);
    const middle = { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
    if (!shape.boxes.some((line) => view.turns(line).length)) {
      Object.assign(view, middle);
      view.move(0, 0);
      moved();
    }
    if (view.width < 480) requestAnimationFrame(() => uncover(view.screenY(middle.y))); // by then the card is there
  }

  function uncover(y) {
    const card = document.getElementById("scene");
    if (card.hidden || y < card.offsetTop) return;
    view.move(0, card.offsetTop / 2 - y);
    moved();
  }

  store.subscribe((changed) => {
    if (changed.has("layers")) settle();
    if (["shown", "colour", "picked", "current", "layers"].some((name) => changed.has(name))) redraw();
    else if (changed.has("hovered")) drawRaised();
  });
  new ResizeObserver(resize).observe(frame);
  new IntersectionObserver(resize).observe(frame); // a frame below the fold may get its size only when it is reached
  resize();

  const whenMoved = (follower) => followers.push(follower);
  return { view, raised: raised.element, fit, moved, whenMoved, redraw, under, show };
}
