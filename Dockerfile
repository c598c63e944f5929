# One small image: the command, the shared libraries it needs, and the model that ships.
#
# A model of your own is mounted over /models (and named by VQCT_MODEL), a configuration over
# /etc/vqct. The addresses are given by the environment, so that the health check knows them too.
# Nothing is written at run time: run it with a read-only root.

FROM debian:12-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make deps && make -j"$(nproc)" all && make install DESTDIR=/out PREFIX=/usr \
    && strip /out/usr/bin/vqct \
    && cd /out/usr/share/vqct/models \
    && rm captions.tsv english.tagger wordnet.lexicon prior-glove-100d.safetensors

FROM debian:12-slim
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="vqct" \
      org.opencontainers.image.description="Images to discrete tokens and back" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/debian:12-slim"
RUN apt-get update \
    && apt-get install -y --no-install-recommends libarchive13 libgnutls30 libjansson4 libjpeg62-turbo \
       libmicrohttpd12 libpng16-16 libssl3 libuv1 libwebp7 libyaml-0-2 libzip4 zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/*
COPY --from=build /out/usr/bin/vqct /usr/bin/vqct
COPY --from=build /out/usr/share/vqct/models /models
COPY config/vqct.json /etc/vqct/vqct.json
ENV VQCT_MODEL=/models/vqct-small.safetensors \
    VQCT_LISTEN=0.0.0.0:8080 \
    VQCT_ADMIN_LISTEN=0.0.0.0:8081
USER 65532:65532
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/bin/vqct", "health"]
ENTRYPOINT ["/usr/bin/vqct"]
CMD ["serve", "--config", "/etc/vqct/vqct.json"]
