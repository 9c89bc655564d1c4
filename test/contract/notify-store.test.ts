import { engines } from '../support/engines.ts'
import { notifyAccountsContract } from './notify-accounts.ts'
import { notifyAnswersContract } from './notify-answers.ts'
import { notifyAppsContract } from './notify-apps.ts'
import { notifyClickDaysContract } from './notify-click-days.ts'
import { notifyClicksContract } from './notify-clicks.ts'
import { notifyHistoryContract } from './notify-history.ts'
import { notifyLeasedContract } from './notify-leased.ts'
import { notifyOutboxContract } from './notify-outbox.ts'
import { notifyProjectsContract } from './notify-projects.ts'
import { notifyPushesContract } from './notify-pushes.ts'
import { notifyReceiptsContract } from './notify-receipts.ts'
import { notifyRotationContract } from './notify-rotation.ts'
import { notifyWebhooksContract } from './notify-webhooks.ts'

for (const engine of engines) {
  notifyAppsContract(engine)
  notifyAccountsContract(engine)
  notifyHistoryContract(engine)
  notifyOutboxContract(engine)
  notifyLeasedContract(engine)
  notifyWebhooksContract(engine)
  notifyClicksContract(engine)
  notifyClickDaysContract(engine)
  notifyProjectsContract(engine)
  notifyPushesContract(engine)
  notifyAnswersContract(engine)
  notifyReceiptsContract(engine)
  notifyRotationContract(engine)
}
