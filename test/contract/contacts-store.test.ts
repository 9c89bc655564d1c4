import { engines } from '../support/stores.ts'
import { contactsStoreContract } from './contacts-store.ts'

for (const engine of engines) contactsStoreContract(engine)
