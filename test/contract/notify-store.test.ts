import { engines } from '../support/stores.ts'
import { notifyAccountsContract } from './notify-accounts.ts'
import { notifyAppsContract } from './notify-apps.ts'
import { notifyClicksContract } from './notify-clicks.ts'
import { notifyHistoryContract } from './notify-history.ts'
import { notifyOutboxContract } from './notify-outbox.ts'
import { notifyWebhooksContract } from './notify-webhooks.ts'

for (const engine of engines) {
  notifyAppsContract(engine)
  notifyAccountsContract(engine)
  notifyHistoryContract(engine)
  notifyOutboxContract(engine)
  notifyWebhooksContract(engine)
  notifyClicksContract(engine)
}
