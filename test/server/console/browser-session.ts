/** A console's page without a browser: keeps its cookie, and says where it asks from, as browsers do. */
import type { World } from '../../support/world.ts'

export const openConsole = (world: Pick<World, 'http' | 'url' | 'adminToken'>) => {
  let cookie = ''
  const ask = async (
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ) => {
    const answer = await world.http(method, path, {
      ...(body !== undefined && { body }),
      headers: {
        ...(cookie !== '' && { cookie }),
        'content-type': 'application/json',
        origin: world.url,
        'sec-fetch-site': 'same-origin',
        ...headers,
      },
    })
    const [given] = answer.headers.getSetCookie()
    if (given !== undefined) cookie = given.split(';')[0] ?? ''
    return { ...answer, setCookie: given }
  }
  return {
    ask,
    get cookie() {
      return cookie
    },
    set cookie(value: string) {
      cookie = value
    },
    signIn: (token = world.adminToken) => ask('POST', '/console/session', { body: { token } }),
  }
}
