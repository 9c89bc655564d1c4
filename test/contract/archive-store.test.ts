import { engines } from '../support/stores.ts'
import { archiveStoreContract } from './archive-store.ts'

for (const engine of engines) archiveStoreContract(engine)
