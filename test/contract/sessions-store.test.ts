import { engines } from '../support/engines.ts'
import { processesContract, sessionsStoreContract } from './sessions-store.ts'

for (const engine of engines) {
  sessionsStoreContract(engine)
  // LMDB has one process, and whoever asks it lives.
  if (engine.name !== 'LMDB') processesContract(engine)
}
