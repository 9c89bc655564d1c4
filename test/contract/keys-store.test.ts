import { engines } from '../support/stores.ts'
import { keysStoreContract } from './keys-store.ts'

for (const engine of engines) keysStoreContract(engine)
