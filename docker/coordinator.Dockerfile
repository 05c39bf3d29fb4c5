# The coordinator's side: the SuperLink, the ServerApp's host, and the commands of the coordinator's people.
#
#   docker build --file docker/coordinator.Dockerfile --tag fedvalue-coordinator .
#
# The command says which of them runs; by default the SuperLink does. Writable: /var/lib/fedvalue and /tmp.

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
RUN sh docker/wheels.sh /wheels
RUN python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/fedvalue \
    && /tools/bin/pip --disable-pip-version-check --no-input --quiet --python /opt/fedvalue/bin/python \
        install --no-index -f /wheels fedvalue

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="fedvalue-coordinator" \
      org.opencontainers.image.description="The FedValue coordinator: SuperLink, ServerApp and their commands" \
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
EXPOSE 9092 9093-9096
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/opt/fedvalue/health.py", "https://localhost:9092", "/run/secrets/tls_root"]
CMD ["flower-superlink", "--host", "0.0.0.0", "--port", "9092", \
     "--ssl-certfile", "/run/secrets/tls_certificate", "--ssl-keyfile", "/run/secrets/tls_key", \
     "--ssl-ca-certfile", "/run/secrets/tls_root", "--enable-supernode-auth", "--isolation", "process", \
     "--superexec-auth-secret-file", "/run/secrets/superexec", "--database", "/var/lib/fedvalue/superlink.db", \
     "--disable-runtime-dependency-installation"]
