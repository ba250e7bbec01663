# Strowger in a container. SIP and RTP want the host's addresses: run it with `--network host`, or publish the ports and set public-address.
#   docker build -t strowger . && docker run --rm --network host strowger
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY prompts prompts
RUN cargo build --release --locked --bin strowger

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /etc/strowger --shell /usr/sbin/nologin strowger
COPY --from=build /src/target/release/strowger /usr/local/bin/strowger
COPY LICENSE /usr/share/doc/strowger/LICENSE
# The shipped example; mount your own directory over it.
COPY strowger.toml outbound.toml /etc/strowger/
COPY sip-profiles /etc/strowger/sip-profiles
COPY dialplans /etc/strowger/dialplans
COPY directory /etc/strowger/directory
COPY queues /etc/strowger/queues
RUN mkdir -p /etc/strowger/var && chown -R strowger:strowger /etc/strowger
WORKDIR /etc/strowger
USER strowger
# Database, journal, recordings, admin token.
VOLUME /etc/strowger/var
EXPOSE 5060/udp 5060/tcp 5080/udp 5080/tcp 8080/tcp
STOPSIGNAL SIGTERM
# /healthz of the process itself, without a tool that the image would need for nothing else.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["strowger"]
CMD ["run", "--config", "/etc/strowger"]
