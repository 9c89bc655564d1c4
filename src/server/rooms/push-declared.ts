/** Push projects that the configuration file declares, with credentials in files of their own. */
import { readFileSync } from 'node:fs'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { Credentials, type Projects } from '../../push/projects.ts'
import type { Config, DeclaredPush } from '../config/config.ts'
import { StartError } from '../config/start-error.ts'

const apnsOf = (apns: NonNullable<DeclaredPush['apns']>) =>
  'certificate' in apns
    ? {
        ...{ kind: 'certificate', topic: apns.topic },
        certificate: readFileSync(apns.certificate).toString('base64'),
        password: readFileSync(apns.passwordFile, 'utf8').trim(),
      }
    : { ...apns, kind: 'token', key: readFileSync(apns.key, 'utf8') }

const credentialsOf = ({ fcm, apns }: DeclaredPush): Credentials[] => [
  ...(fcm === undefined
    ? []
    : [checked(Credentials, { provider: 'fcm', fcm: JSON.parse(readFileSync(fcm, 'utf8')) })]),
  ...(apns === undefined ? [] : [checked(Credentials, { provider: 'apns', apns: apnsOf(apns) })]),
]

/** Those that are the same already stay as they are. Throws `StartError` with a sentence for each that cannot be. */
export const declarePush = async ({ push }: Config, projects: Projects): Promise<void> => {
  const mistakes: string[] = []
  for (const declared of push) {
    try {
      const project = await projects.create(declared.project, { isOpen: declared.open })
      for (const credentials of credentialsOf(declared)) {
        const known = projects.open(project, credentials.provider)?.credentials
        if (JSON.stringify(known) !== JSON.stringify(credentials))
          await projects.setCredentials(declared.project, credentials)
      }
    } catch (error) {
      if (error instanceof ProtocolError && error.http >= 500) throw error
      const why = error instanceof Error ? error.message : String(error)
      mistakes.push(`The push project ${declared.project} cannot be declared: ${why}.`)
    }
  }
  if (mistakes.length > 0) throw new StartError(mistakes)
}
