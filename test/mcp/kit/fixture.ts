/**
 * What the conformance kit looks for in a server, and a product has no business having: its own tools, resources and prompts.
 * They are mounted on the same sessions and the same HTTP as those of `belfry mcp`, which is what is tried with them.
 */
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import {
  CallToolRequestSchema,
  type CallToolResult,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  type PromptMessage,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA='

const text = (said: string) => ({ type: 'text' as const, text: said })
const image = { type: 'image' as const, data: PNG, mimeType: 'image/png' }
const resource = (uri: string, mimeType: string, said: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: said },
})

const DEFAULTS = {
  type: 'object' as const,
  properties: {
    name: { type: 'string' as const, default: 'John Doe' },
    age: { type: 'integer' as const, default: 30 },
    score: { type: 'number' as const, default: 95.5 },
    status: { type: 'string' as const, enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean' as const, default: true },
  },
}
const options = ['option1', 'option2', 'option3']
const titled = options.map((value, at) => ({ const: value, title: `Option ${at}` }))
const ENUMS = {
  type: 'object' as const,
  properties: {
    untitledSingle: { type: 'string' as const, enum: options },
    titledSingle: { type: 'string' as const, oneOf: titled },
    legacyEnum: { type: 'string' as const, enum: options, enumNames: ['One', 'Two', 'Three'] },
    untitledMulti: { type: 'array' as const, items: { type: 'string' as const, enum: options } },
    titledMulti: { type: 'array' as const, items: { anyOf: titled } },
  },
}
const USER = {
  type: 'object' as const,
  properties: { username: { type: 'string' as const }, email: { type: 'string' as const } },
  required: ['username', 'email'],
}
const SCHEMA_2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object' as const,
  $defs: {
    address: { type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } },
  },
  properties: { name: { type: 'string' }, address: { $ref: '#/$defs/address' } },
  additionalProperties: false,
}

type Extra = Parameters<Parameters<Server['setRequestHandler']>[1]>[1]
type Given = Record<string, unknown>

const elicit = async (
  extra: Extra,
  message: string,
  requestedSchema: typeof USER | typeof DEFAULTS | typeof ENUMS,
) => {
  const params = { mode: 'form' as const, message, requestedSchema }
  const { action, content } = await extra.sendRequest(
    { method: 'elicitation/create', params },
    ElicitResultSchema,
  )
  return `Elicitation completed: action=${action}, content=${JSON.stringify(content)}`
}

const TOOLS: Record<string, (given: Given, extra: Extra) => Promise<CallToolResult['content']>> = {
  test_simple_text: async () => [text('This is a simple text response for testing.')],
  test_image_content: async () => [image],
  test_audio_content: async () => [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  test_embedded_resource: async () => [
    resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  ],
  test_multiple_content_types: async () => [
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  ],
  test_tool_with_logging: async (_, extra) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } })
    }
    return [text('Done')]
  },
  test_tool_with_progress: async (_, extra) => {
    const progressToken = extra._meta?.progressToken ?? ''
    for (const progress of [0, 50, 100]) {
      const params = { progressToken, progress, total: 100 }
      await extra.sendNotification({ method: 'notifications/progress', params })
    }
    return [text('Done')]
  },
  test_error_handling: () =>
    Promise.reject(new Error('This tool intentionally returns an error for testing')),
  test_sampling: async ({ prompt }, extra) => {
    const messages = [{ role: 'user' as const, content: text(String(prompt)) }]
    const params = { messages, maxTokens: 100 }
    const answer = await extra.sendRequest(
      { method: 'sampling/createMessage', params },
      CreateMessageResultSchema,
    )
    return [text(`LLM response: ${'text' in answer.content ? answer.content.text : ''}`)]
  },
  test_elicitation: async ({ message }, extra) => [text(await elicit(extra, String(message), USER))],
  test_elicitation_sep1034_defaults: async (_, extra) => [text(await elicit(extra, 'Defaults', DEFAULTS))],
  test_elicitation_sep1330_enums: async (_, extra) => [text(await elicit(extra, 'Enums', ENUMS))],
  json_schema_2020_12_tool: async () => [text('Done')],
}

const RESOURCES: Record<string, { mimeType: string; text: string } | { mimeType: string; blob: string }> = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Watched' },
}

const PROMPTS: Record<
  string,
  { arguments?: string[]; messages(given: Record<string, string>): PromptMessage['content'][] }
> = {
  test_simple_prompt: { messages: () => [text('This is a simple prompt for testing.')] },
  test_prompt_with_arguments: {
    arguments: ['arg1', 'arg2'],
    messages: ({ arg1, arg2 }) => [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
  },
  test_prompt_with_embedded_resource: {
    arguments: ['resourceUri'],
    messages: ({ resourceUri = '' }) => [
      resource(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
      text('Please process the embedded resource above.'),
    ],
  },
  test_prompt_with_image: { messages: () => [image, text('Please analyze the image above.')] },
}

const addTools = (server: Server): void => {
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.keys(TOOLS).map((name) => ({
      ...{ name, description: name },
      inputSchema: name === 'json_schema_2020_12_tool' ? SCHEMA_2020 : { type: 'object' as const },
    })),
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra): Promise<CallToolResult> => {
    const tool = TOOLS[params.name]
    try {
      if (!tool) throw new Error(`There is no tool ${params.name}`)
      return { content: await tool(params.arguments ?? {}, extra) }
    } catch (error) {
      return { isError: true, content: [text(error instanceof Error ? error.message : '')] }
    }
  })
}

const addResources = (server: Server): void => {
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({ uri, name: uri, mimeType })),
  }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template' }],
  }))
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => {
    const id = /^test:\/\/template\/(.*)\/data$/.exec(uri)?.[1]
    const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })
    const found = id === undefined ? RESOURCES[uri] : { mimeType: 'application/json', text: data }
    if (!found) throw new Error('There is no such resource')
    return { contents: [{ uri, ...found }] }
  })
  for (const schema of [SubscribeRequestSchema, UnsubscribeRequestSchema])
    server.setRequestHandler(schema, () => ({}))
}

const addPrompts = (server: Server): void => {
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, { arguments: names = [] }]) => ({
      ...{ name, description: name },
      arguments: names.map((one) => ({ name: one, description: one, required: true })),
    })),
  }))
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => {
    const contents = PROMPTS[params.name]?.messages(params.arguments ?? {}) ?? []
    return { messages: contents.map((content) => ({ role: 'user' as const, content })) }
  })
  server.setRequestHandler(CompleteRequestSchema, () => ({
    completion: { values: ['paris', 'park', 'party'], total: 3, hasMore: false },
  }))
}

export const createKitServer = (): Server => {
  const capabilities = {
    ...{ tools: {}, prompts: {}, logging: {}, completions: {} },
    resources: { subscribe: true },
  }
  const server = new Server({ name: 'kit', version: '1' }, { capabilities })
  addTools(server)
  addResources(server)
  addPrompts(server)
  return server
}
