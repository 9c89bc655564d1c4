/** Asks a person before it acts. `belfry mcp` sends the question, waits, and verifies the signature of the answer. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import * as z from 'zod'

const {
  BELFRY_SERVER = 'http://localhost:8080',
  BELFRY_PROJECT_ID = '',
  BELFRY_PROJECT_SECRET = '',
  APP_DOMAIN = 'app.example.com',
  TYPE = 'News',
} = process.env
const [account, id = 'deploy-1'] = process.argv.slice(2)

const client = new Client({ name: 'example-agent', version: '0.1.0' })
await client.connect(
  new StdioClientTransport({
    command: 'belfry',
    args: ['mcp', '--app', APP_DOMAIN],
    // The secret is here, in the process that belfry mcp runs in: a model never sees it.
    env: { ...getDefaultEnvironment(), BELFRY_SERVER, BELFRY_PROJECT_ID, BELFRY_PROJECT_SECRET },
  }),
)

const question = {
  // The same id asks nobody twice, also when this agent was started again meanwhile.
  id,
  type: TYPE,
  title: 'Deploy to production?',
  body: 'All checks have passed.',
  choices: [
    { id: 'yes', title: 'Deploy' },
    { id: 'no', title: 'Not now' },
  ],
  accounts: [account],
  wait_seconds: 30,
}

const Answered = z.object({
  status: z.enum(['answered', 'waiting', 'closed']),
  answers: z.array(z.object({ account: z.string(), choice: z.string(), signed_at: z.string() })),
})
const ask = async () => {
  const { structuredContent, isError, content } = await client.callTool({ name: 'ask', arguments: question })
  if (isError) throw new Error(JSON.stringify(content))
  return Answered.parse(structuredContent)
}

let state = await ask()
// A call waits for a while; people take longer.
while (state.status === 'waiting') state = await ask()
for (const { account, choice, signed_at: at } of state.answers)
  console.log(`${account} says ${choice}, ${at}`)
await client.close()
