# syntax=docker/dockerfile:1
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY LICENSE package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json tsconfig.packages.json ./
COPY packages packages
COPY scripts scripts
COPY src src
COPY llms.txt ./
COPY docs docs
# Installs, and builds dist/ (the prepare script). A library names the compiler as a peer that it can do without, so npm keeps it.
RUN npm ci && npm prune --omit=dev --ignore-scripts \
  && rm -rf node_modules/typescript node_modules/@typescript node_modules/react

FROM node:20.20.2-bookworm-slim
ENV NODE_ENV=production BELFRY_DATA=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/LICENSE /app/llms.txt ./
COPY --from=build /app/docs docs
RUN ln -s /app/dist/cli/main.js /usr/local/bin/belfry && chmod +x dist/cli/main.js \
  && mkdir /data && chown node:node /data
USER node
VOLUME /data
# HTTP and WebSocket. The metrics are for the inside of the container unless BELFRY_METRICS says otherwise.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself is process 1 and gets the signals.
CMD ["node", "dist/cli/main.js", "serve"]
