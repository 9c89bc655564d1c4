import type { Crypto } from '../../../src/platform/runtime/crypto.ts'

export declare const isCapturing: boolean
export declare const capture: (what: 'log' | 'metrics' | 'errors', text: string) => void
export declare const knownSecret: (kind: string, secret: string | Uint8Array | null | undefined) => void
export declare const watchCrypto: (crypto: Crypto) => void
