/** `@belfry/wallet/file` has the names of `belfry/wallet/file`: for Node alone. */
export * from '../../../src/notify/client/stores/file.ts'
