# The hospital's side, for sites that take part in trainings: site.Dockerfile with torch, and nothing else differs.
#
#   docker build --file docker/site-training.Dockerfile --tag fedvalue-site:training .
#
# One writable place, /var/lib/fedvalue, and /tmp; the rest of the container may be read-only. It opens no
# port: it dials out. Nothing is fetched at run time.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY core core
COPY strategies strategies
COPY client client
COPY server server
COPY protos protos
COPY docker/bundle docker/bundle
COPY docker/wheels.sh docker/wheels.sh
RUN sh docker/wheels.sh /wheels train
RUN python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/fedvalue \
    && /tools/bin/pip --disable-pip-version-check --no-input --quiet --python /opt/fedvalue/bin/python \
        install --no-index -f /wheels fedvalue[train]

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="fedvalue-site" \
      org.opencontainers.image.description="A hospital's FedValue node: records, ledger and keys stay here" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 fedvalue \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fedvalue --shell /usr/sbin/nologin fedvalue \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/fedvalue
COPY --from=build /opt/fedvalue /opt/fedvalue
COPY docker/health.py /opt/fedvalue/health.py
ENV PATH=/opt/fedvalue/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/fedvalue \
    FLWR_HOME=/var/lib/fedvalue/flower \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1
WORKDIR /var/lib/fedvalue
USER 10001:10001
VOLUME ["/var/lib/fedvalue"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/opt/fedvalue/health.py", "unix:/var/lib/fedvalue/home/status.sock"]
ENTRYPOINT ["fedvalue"]
CMD ["site", "serve", "/var/lib/fedvalue/home"]
