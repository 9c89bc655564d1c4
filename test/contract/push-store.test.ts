import { engines } from '../support/engines.ts'
import { pushDevicesContract } from './push-devices.ts'
import { pushProjectsContract } from './push-projects.ts'
import { pushWaitingContract } from './push-waiting.ts'

for (const engine of engines) {
  pushDevicesContract(engine)
  pushWaitingContract(engine)
  pushProjectsContract(engine)
}
