import { engines } from '../support/stores.ts'
import { notifyAccountsContract } from './notify-accounts.ts'
import { notifyAppsContract } from './notify-apps.ts'
import { notifyHistoryContract } from './notify-history.ts'
import { notifyOutboxContract } from './notify-outbox.ts'
import { notifyRotationContract } from './notify-rotation.ts'

for (const engine of engines) {
  notifyAppsContract(engine)
  notifyAccountsContract(engine)
  notifyHistoryContract(engine)
  notifyOutboxContract(engine)
  notifyRotationContract(engine)
}
