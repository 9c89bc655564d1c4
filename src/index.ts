/**
 * The front door of the package: the clients, and the server as a function. Wallets and dapps that want nothing of the
 * server import `belfry/wallet` and `belfry/dapp`; those run in browsers.
 */
export {
  createRelayClient,
  type RelayClient,
  type RelayClientOptions,
  type RelayMessage,
} from './relay/client/index.ts'
export * from './sdk/dapp.ts'
export * from './sdk/mq.ts'
export * from './sdk/wallet.ts'
export { composeServer, type RunningServer, type ServerDeps } from './server/compose.ts'
export { type Config, configWith, readConfig } from './server/config/config.ts'
