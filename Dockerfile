# One image for coordinator, workers and Flower. It needs no system packages: PyAV and imageio-ffmpeg include FFmpeg.
FROM python:3.11-slim

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 FARM_HOME=/farm
RUN useradd --create-home --uid 1000 farm && install -d -o farm -g farm /farm /store /models /videos /key
WORKDIR /opt/blurfarm

COPY pyproject.toml constraints.txt README.md LICENSE THIRD_PARTY_NOTICES.md ./
COPY farm farm
COPY workers workers
COPY migrations migrations
RUN pip install --no-cache-dir -c constraints.txt '.[postgres]'

USER farm
WORKDIR /videos
ENTRYPOINT ["farm"]
