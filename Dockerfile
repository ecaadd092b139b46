# Two stages on one base, so that the environment built in the first runs in the second as it is.
FROM python:3.11-slim-bookworm AS build
# Where pip finds packages, if not where it always does; nothing of this reaches the image.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements-build.lock requirements-runtime.lock ./
RUN python3 -m venv /build \
 && /build/bin/pip install --quiet --require-hashes -r requirements-build.lock \
 && python3 -m venv --without-pip /opt/bidder \
 && /build/bin/pip --python /opt/bidder/bin/python install --quiet --require-hashes --no-compile \
    -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md config.example.yaml ./
COPY migrations migrations
COPY bidder bidder
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /build/bin/pip --python /opt/bidder/bin/python install --quiet --no-index --no-deps --no-compile /wheel/*.whl \
 && mkdir /state
# Without bytecode each health check would compile all that it imports; these three it never does.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(numpy|apprise|pygments)/' /opt/bidder

FROM python:3.11-slim-bookworm
COPY --from=build /opt/bidder /opt/bidder
COPY --from=build --chown=10001:10001 /state /var/lib/bidder
# The root file system may be read-only: state goes to the volume, and no more bytecode is written.
ENV PATH=/opt/bidder/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/bidder \
    STATE_DIRECTORY=/var/lib/bidder \
    BIDDER_CONFIG=/etc/bidder/config.yaml
VOLUME /var/lib/bidder
WORKDIR /var/lib/bidder
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 CMD ["bidder", "health"]
# As process 1 it handles SIGTERM, SIGINT and SIGHUP itself; it leaves no children behind.
ENTRYPOINT ["bidder"]
CMD ["run"]
