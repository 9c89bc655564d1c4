import { engines } from '../support/engines.ts'
import { contactsStoreContract } from './contacts-store.ts'

for (const engine of engines) contactsStoreContract(engine)
