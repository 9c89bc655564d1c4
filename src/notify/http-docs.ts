/** The routes of `http.ts`, and of what it mounts, in the words of OpenAPI. A test holds the two to the same list. */
import type { OpenAPIHono, RouteConfig, z } from '@hono/zod-openapi'
import { z as schema } from '@hono/zod-openapi'
import {
  AppAnswer,
  AppDeclaration,
  AppsAnswer,
  AppsPage,
  DidDocument,
  FailureAnswer,
  ForApp,
  NotifyAnswer,
  NotifyConfigAnswer,
  NotifyConfigQuery,
  NotifyV0,
  NotifyV1,
  ProjectsAnswer,
  ProjectsQuery,
  SubscribersV1,
  SubscribersV1Answer,
  SubscribeTopic,
  SubscribeTopicAnswer,
} from './http-schema.ts'

const json = (shape: z.ZodType) => ({ content: { 'application/json': { schema: shape } } })
const failure = (description: string) => ({ description, ...json(FailureAnswer) })

export interface Described {
  method: RouteConfig['method']
  path: string
  summary: string
  secret?: true
  body?: z.ZodType
  query?: z.ZodObject
  /** A schema answered with 200, or another status with its meaning. */
  answer: z.ZodType | [status: number, description: string, shape?: z.ZodType]
  /** Failures beyond those of the secret and the body. */
  failures?: Record<number, string>
}

const DOMAIN_HELD = 'Another project holds the domain'
const NO_APP = 'No such app'

const ROUTES: readonly Described[] = [
  {
    method: 'post',
    path: '/{projectId}/subscribe-topic',
    summary:
      'Enrols an app and answers its public keys; again, the same ones. Its types are declared with PUT …/apps',
    secret: true,
    body: SubscribeTopic,
    answer: SubscribeTopicAnswer,
    failures: { 409: DOMAIN_HELD },
  },
  {
    method: 'post',
    path: '/{projectId}/notify',
    summary: 'Sends one notification to at most 500 accounts',
    secret: true,
    body: NotifyV0,
    answer: NotifyAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/notify',
    summary: 'Sends notifications to at most 500 accounts altogether; the answer is over the whole call',
    secret: true,
    body: NotifyV1,
    answer: NotifyAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/{projectId}/subscribers',
    summary: 'All accounts that are subscribed',
    secret: true,
    query: ForApp,
    answer: schema.array(schema.string()),
    failures: { 404: NO_APP },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/subscribers',
    summary: 'Which types each of these accounts wants; who is not subscribed is left out',
    secret: true,
    body: SubscribersV1,
    answer: SubscribersV1Answer,
    failures: { 404: NO_APP },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/mark-all-as-read',
    summary: 'Marks all notifications of the project as read',
    secret: true,
    answer: [204, 'Done'],
  },
  {
    method: 'get',
    path: '/v1/{projectId}/apps',
    summary: "The project's apps, in domain order",
    secret: true,
    query: AppsPage,
    answer: AppsAnswer,
  },
  {
    method: 'get',
    path: '/v1/{projectId}/apps/{domain}',
    summary: 'One app',
    secret: true,
    answer: AppAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'put',
    path: '/v1/{projectId}/apps/{domain}',
    summary: 'Declares an app: enrols it when it is new; what is absent stays as it is',
    secret: true,
    body: AppDeclaration,
    answer: AppAnswer,
    failures: { 409: DOMAIN_HELD },
  },
  {
    method: 'get',
    path: '/v1/notification/{id}',
    summary: 'Follows the link of a delivered notification',
    answer: [307, "To the notification's url"],
    failures: { 404: 'No such notification, or it has no url' },
  },
  {
    method: 'get',
    path: '/.well-known/did.json',
    summary: 'did:web document of this server, or of the app whose domain the Host header names',
    answer: DidDocument,
  },
  {
    method: 'get',
    path: '/apps/{domain}/did.json',
    summary: 'did:web document of an app, to be copied to or proxied from its own domain',
    answer: DidDocument,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/w3i/v1/notify-config',
    summary: 'What an app says about itself, and its notification types',
    query: NotifyConfigQuery,
    answer: NotifyConfigAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/w3i/v1/projects',
    summary: 'The apps that chose to be listed',
    query: ProjectsQuery,
    answer: ProjectsAnswer,
  },
]

/** Writes all routes, and those described elsewhere, into the registry that `/openapi.json` is made from. */
export const describeRoutes = (
  registry: OpenAPIHono['openAPIRegistry'],
  more: readonly Described[],
): void => {
  registry.registerComponent('securitySchemes', 'projectSecret', { type: 'http', scheme: 'bearer' })
  for (const { method, path, summary, secret, body, query, answer, failures = {} } of [...ROUTES, ...more]) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    const [status, answered] = Array.isArray(answer)
      ? [answer[0], { description: answer[1], ...(answer[2] && json(answer[2])) }]
      : [200, { description: 'Done', ...json(answer) }]
    const all: Record<number, string> = {
      ...(secret && { 401: 'No or wrong project secret' }),
      ...(body && { 400: 'Not JSON', 413: 'More than 1 MiB', 415: 'Not announced as JSON' }),
      ...((body || query) && { 422: 'Not what is expected; `field` says where' }),
      ...failures,
    }
    registry.registerPath({
      method,
      path,
      summary,
      tags: ['notify'],
      ...(secret && { security: [{ projectSecret: [] }] }),
      request: {
        ...(names.length > 0 && {
          params: schema.object(Object.fromEntries(names.map((name) => [name, schema.string()]))),
        }),
        ...(query && { query }),
        ...(body && { body: { required: true, ...json(body) } }),
      },
      responses: {
        [status]: answered,
        ...Object.fromEntries(Object.entries(all).map(([code, what]) => [code, failure(what)])),
      },
    })
  }
}
