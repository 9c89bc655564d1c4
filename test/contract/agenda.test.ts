import { engines } from '../support/stores.ts'
import { agendaContract } from './agenda.ts'

for (const engine of engines) agendaContract(engine)
