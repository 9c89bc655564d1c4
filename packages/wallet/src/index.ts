/** `@belfry/wallet` has the names of `belfry/wallet`, without the server. */
export * from '../../../src/sdk/wallet.ts'
