# docker build -t collgs-async .
# docker run --rm -v "$PWD:/data" collgs-async --help
FROM python:3.13-slim AS build
COPY . /src
RUN pip install --no-cache-dir --prefix=/install "/src[geo,fast,store]"

FROM python:3.13-slim
COPY --from=build /install /usr/local
RUN useradd --uid 1000 --create-home collgs && mkdir /data && chown collgs /data
USER collgs
WORKDIR /data
# Python as process 1 has no default handlers of signals; the command sets its own.
ENTRYPOINT ["collgs-async"]
