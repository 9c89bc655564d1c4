/** What a model may read beside the tools: the app that it speaks for, and what was asked. */
import * as z from 'zod'
import { type FetchDeps, fetchJson } from '../platform/net/fetch-json.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Questions } from './questions/questions.ts'

const JSON_TYPE = 'application/json'
const QUESTION = 'belfry://questions/'

export interface Resource {
  uri: string
  name: string
  title: string
  description: string
  mimeType: string
  read(): Promise<unknown>
}

const declaration = z.object({
  data: z.object({
    name: z.string(),
    description: z.string(),
    homepage: z.string(),
    notificationTypes: z.array(
      z.object({ id: z.string(), name: z.string(), description: z.string().optional() }),
    ),
  }),
})

/** What an app says about itself; anybody may ask. Throws `unknown_app`, `unavailable`. */
const describeApp = async (deps: FetchDeps, url: string, domain: string): Promise<unknown> => {
  const query = new URLSearchParams({ appDomain: domain })
  const { status, body } = await fetchJson(deps, `${url}/w3i/v1/notify-config?${query}`)
  const found = declaration.safeParse(body)
  if (status === 404) throw new ProtocolError('unknown_app', domain)
  if (status !== 200 || !found.success) throw new ProtocolError('unavailable')
  const { name, description, homepage, notificationTypes } = found.data.data
  const types = notificationTypes.map(({ id, name: label, description: about = '' }) => ({
    ...{ id, name: label, description: about },
  }))
  return { domain, name, description, homepage, types }
}

export const createResources = (
  deps: FetchDeps,
  { url, domain, questions }: { url: string; domain: string; questions: Questions },
) => ({
  list: (): Resource[] => [
    {
      uri: 'belfry://app',
      name: 'app',
      title: `The app ${domain}`,
      description: 'Its name, and the types of notifications that it declares',
      mimeType: JSON_TYPE,
      read: () => describeApp(deps, url, domain),
    },
  ],
  templates: [
    {
      uriTemplate: `${QUESTION}{id}`,
      name: 'question',
      title: 'A question and its answers',
      description: 'Answers that count, by account; every signature was verified',
      mimeType: JSON_TYPE,
    },
  ],
  /** Undefined: there is no such resource. */
  find(uri: string): Resource | undefined {
    if (!uri.startsWith(QUESTION)) return this.list().find((one) => one.uri === uri)
    let id: string
    try {
      id = decodeURIComponent(uri.slice(QUESTION.length))
    } catch {
      return undefined
    }
    const [template] = this.templates
    const read = async () => {
      const { status, counted, missing, refused, undecided } = await questions.state(id)
      return { id, status, answers: counted, missing, refused, undecided }
    }
    return template && { ...template, uri, read }
  },
})
export type Resources = ReturnType<typeof createResources>
