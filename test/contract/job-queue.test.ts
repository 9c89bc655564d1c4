import { engines } from '../support/engines.ts'
import { agendaContract } from './job-queue.ts'

for (const engine of engines) agendaContract(engine)
