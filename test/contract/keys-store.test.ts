import { engines } from '../support/engines.ts'
import { keysStoreContract } from './keys-store.ts'

for (const engine of engines) keysStoreContract(engine)
