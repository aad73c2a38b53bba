# Two stages: wheels checked against requirements.lock, then a slim image that runs `endcap up` on /data.

FROM python:3.11-slim AS build
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

FROM python:3.11-slim
# implicit needs the system's OpenMP runtime.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home endcap \
    && install --directory --owner endcap --mode 0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ENDCAP_DATA_DIR=/data
USER endcap
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# Listening on all addresses is refused unless ENDCAP_API_KEY is set.
CMD ["endcap", "up", "--host", "0.0.0.0", "--port", "8000"]
