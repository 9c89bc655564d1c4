import { engines } from '../support/engines.ts'
import { mqStoreContract } from './mq-store.ts'

for (const engine of engines) mqStoreContract(engine)
