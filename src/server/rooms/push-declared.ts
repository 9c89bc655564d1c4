/** Push projects that the configuration file declares, with credentials in files of their own. */
import { readFileSync } from 'node:fs'
import * as z from 'zod'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { Credentials, type Projects } from '../../push/projects.ts'
import { ProjectId } from '../../push/schema.ts'
import type { Config, DeclaredPush } from '../config/config.ts'
import { StartError } from '../config/start-error.ts'

const Named = z.object({ project: ProjectId })

const read = (file: string): Buffer => {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new ProtocolError('bad_params', `${file} cannot be read`, { cause })
  }
}
const textIn = (file: string): string => read(file).toString('utf8')

const jsonIn = (file: string): unknown => {
  const text = textIn(file)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('bad_params', `${file} is not JSON`, { cause })
  }
}

const apnsOf = (apns: NonNullable<DeclaredPush['apns']>) =>
  'certificate' in apns
    ? {
        ...{ kind: 'certificate', topic: apns.topic },
        certificate: read(apns.certificate).toString('base64'),
        password: textIn(apns.passwordFile).trim(),
      }
    : { ...apns, kind: 'token', key: textIn(apns.key) }

const credentialsOf = ({ fcm, apns }: DeclaredPush): Credentials[] => [
  ...(fcm === undefined ? [] : [checked(Credentials, { provider: 'fcm', fcm: jsonIn(fcm) })]),
  ...(apns === undefined ? [] : [checked(Credentials, { provider: 'apns', apns: apnsOf(apns) })]),
]

/** Those that are the same already stay as they are. Throws `StartError` with a sentence for each that cannot be. */
export const declarePush = async ({ push }: Config, projects: Projects): Promise<void> => {
  const mistakes: string[] = []
  for (const declared of push) {
    try {
      const { project: id } = checked(Named, declared)
      const project = await projects.find(id)
      const credentials = credentialsOf(declared).filter((one) => {
        const known = project && projects.open(project, one.provider)?.credentials
        return JSON.stringify(known) !== JSON.stringify(one)
      })
      await projects.set(id, { isOpen: declared.open, credentials })
    } catch (error) {
      if (error instanceof ProtocolError && error.http >= 500) throw error
      const why = error instanceof Error ? error.message : String(error)
      mistakes.push(`The push project ${declared.project} cannot be declared: ${why}.`)
    }
  }
  if (mistakes.length > 0) throw new StartError(mistakes)
}
