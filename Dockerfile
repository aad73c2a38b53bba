# Two stages: wheels checked against requirements.lock, then a slim image that runs `endcap up` on /data.

# One base for both, by its digest: docs/deployment.md says how to raise it.
ARG PYTHON_IMAGE=python:3.11.17-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip wheel --no-deps --require-hashes --wheel-dir /wheels -r requirements.lock
COPY . .
# What else the image shall hold, as --build-arg EXTRAS=[mlflow].
ARG EXTRAS=""
# Only wheels of the lock are at hand, so what Endcap needs comes in those versions, and nothing for development.
RUN python -m venv /build \
    && /build/bin/pip install --no-index --find-links /wheels hatchling editables \
    && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv /venv \
    && /venv/bin/pip install --no-index --find-links /wheels "endcap$EXTRAS"

FROM ${PYTHON_IMAGE}
# implicit needs the system's OpenMP runtime, a backup of a ledger in PostgreSQL its pg_dump (17, which dumps 17 and older).
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 postgresql-client && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 endcap \
    && useradd --uid 10001 --gid endcap --no-create-home --home-dir /data --shell /usr/sbin/nologin endcap \
    && install --directory --owner endcap --group endcap --mode 0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ENDCAP_DATA_DIR=/data
# As numbers: a cluster that wants no root cannot look a name up.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Whether the process lives, model or not; without a proxy, which Docker may set for every container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "from http.client import HTTPConnection; api = HTTPConnection('127.0.0.1', 8000, timeout=2); api.request('GET', '/healthz'); raise SystemExit(api.getresponse().status != 200)"]
# Listening on all addresses is refused unless ENDCAP_API_KEY and ENDCAP_CONSENT are set.
CMD ["endcap", "up", "--host", "0.0.0.0", "--port", "8000"]
