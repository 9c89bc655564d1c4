import { engines } from '../support/engines.ts'
import { archiveStoreContract } from './archive-store.ts'

for (const engine of engines) archiveStoreContract(engine)
