// The quicklooks: their addresses, and images of those that are draped on the map.

const MOST_PIXELS = 16e6; // of the images that are kept: 64 MB

function createPictures() {
  const addresses = lazily(() => new Map(Object.entries(carried("quicklooks"))));
  const images = new Map(); // by identifier, the one used last at the end
  let pixels = 0;
  const pictures = { address: (id) => addresses().get(id), image, isEmpty: !carriesAny("quicklooks") };

  // The image, once it is there, else null; then `whenReady` is called.
  function image(id, whenReady) {
    const known = images.get(id);
    if (known) {
      images.delete(id);
      images.set(id, known);
      return known.isReady ? known.element : null;
    }
    const address = pictures.address(id);
    if (!address) return null;
    const picture = { element: new Image(), isReady: false, pixels: 0 };
    images.set(id, picture);
    picture.element.addEventListener("load", () => {
      if (images.get(id) !== picture) return;
      Object.assign(picture, { isReady: true, pixels: picture.element.width * picture.element.height });
      pixels += picture.pixels;
      forgetOldest();
      whenReady();
    });
    picture.element.src = address; // one that is cut, or no picture after all, never becomes ready
    return null;
  }

  function forgetOldest() {
    for (const [id, oldest] of images) {
      if (pixels <= MOST_PIXELS || images.size === 1) return;
      pixels -= oldest.pixels;
      images.delete(id);
    }
  }

  return pictures;
}
