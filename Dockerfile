FROM python:3.11-slim

ARG DEVICE=cpu
ARG EXTRAS=explore,serve,onnx

WORKDIR /opt/vael
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN case "$DEVICE" in \
      cpu) build=+cpu; export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu ;; \
      gpu) build= ;; \
      *) echo "DEVICE is '$DEVICE'; give cpu or gpu (--build-arg DEVICE=gpu)" >&2; exit 1 ;; \
    esac \
    && pip install --no-cache-dir -c constraints.txt "torch==$(sed -n 's/^torch==//p' constraints.txt)$build" \
    && pip install --no-cache-dir -c constraints.txt hatchling
COPY src ./src
RUN pip install --no-cache-dir --no-build-isolation -c constraints.txt ".[$EXTRAS]" \
    && useradd --create-home person \
    && mkdir /work \
    && chown person /work

USER person
WORKDIR /work
ENV VAEL_DATA=/data
ENTRYPOINT ["vael"]
CMD ["--help"]
