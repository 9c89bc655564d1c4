/** Texts with which a person starts something. */

interface Prompt {
  name: string
  title: string
  description: string
  arguments: { name: string; description: string; required: boolean }[]
  text(given: Readonly<Record<string, string>>): string
}

export const ASKING_PROMPTS: readonly Prompt[] = [
  {
    name: 'approval',
    title: 'Ask for approval before you act',
    description: 'Has the model ask accounts for a signed approval, and act only when it came',
    arguments: [
      { name: 'action', description: 'What is to be done', required: true },
      {
        name: 'accounts',
        description: 'Who approves: CAIP-10 accounts, with commas between',
        required: true,
      },
    ],
    text: ({ action = '', accounts = '' }) =>
      [
        `I want this to be done, but only after approval: ${action}`,
        `Use the tool ask with the accounts ${accounts}, the choices "approve" and "decline", and an id that names this`,
        'request. While its status is waiting, call it again with the same id. Act only when every account answered "approve"',
        'in answers. Answers under refused do not count. If it is declined or closed, do nothing, and tell me.',
      ].join('\n'),
  },
]

export type Prompts = readonly Prompt[]
