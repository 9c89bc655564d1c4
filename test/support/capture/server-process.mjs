// Loaded before a server that is started from dist/ (../process.ts).
import { crypto } from '../../../dist/platform/runtime/crypto-node.js'
import { watchCrypto } from './record.mjs'

watchCrypto(crypto)
