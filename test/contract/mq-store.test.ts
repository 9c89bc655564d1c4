import { engines } from '../support/stores.ts'
import { mqStoreContract } from './mq-store.ts'

for (const engine of engines) mqStoreContract(engine)
