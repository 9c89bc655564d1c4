import { engines } from '../support/stores.ts'
import { agendaContract } from './job-queue.ts'

for (const engine of engines) agendaContract(engine)
