/** `@belfry/dapp` has the names of `belfry/dapp`, without the server. */
export * from '../../../src/sdk/dapp.ts'
