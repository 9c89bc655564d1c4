import { engines } from '../support/stores.ts'
import { notifyAccountsContract } from './notify-accounts.ts'
import { notifyAppsContract } from './notify-apps.ts'
import { notifyHistoryContract } from './notify-history.ts'
import { notifyOutboxContract } from './notify-outbox.ts'
import { notifyReceiptsContract } from './notify-receipts.ts'

for (const engine of engines) {
  notifyAppsContract(engine)
  notifyAccountsContract(engine)
  notifyHistoryContract(engine)
  notifyOutboxContract(engine)
  notifyReceiptsContract(engine)
}
