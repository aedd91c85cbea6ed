# The wheel is built with the locked tools and installed beside locked packages: nothing is resolved here.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/dev.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY billing billing
COPY config config
COPY gateway gateway
COPY ledger ledger
RUN python -m hatchling build -t wheel -d /dist

FROM python:3.13-slim
COPY requirements/run.txt /tmp/run.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/run.txt
COPY --from=build /dist/*.whl /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps /tmp/*.whl && rm /tmp/*.whl /tmp/run.txt

# A number, so that a cluster can see that it is not root. The data folder keeps the admin token.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/farebox farebox \
    && install -d -o farebox -g farebox -m 0700 /var/lib/farebox
USER 10001:10001
WORKDIR /var/lib/farebox
VOLUME /var/lib/farebox
ENV FAREBOX_CONFIG=/etc/farebox/farebox.yaml FAREBOX_DATA=/var/lib/farebox PYTHONUNBUFFERED=1
EXPOSE 8000 8001

# 503 while money cannot be kept safe. A slim image has no curl, but it has Python.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/farebox/readyz', timeout=4)"]

# SIGTERM drains: requests in flight end, settlements are flushed, the last facts are posted.
ENTRYPOINT ["farebox"]
CMD ["serve", "--host", "0.0.0.0", "--admin-host", "0.0.0.0"]
