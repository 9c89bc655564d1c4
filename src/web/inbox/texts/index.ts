/** The one table of what the inbox says, in each of its languages. */
import type { Table } from '../../shared/messages/texts.ts'
import { de } from './de.ts'
import { en } from './en.ts'

export type Key = keyof typeof en
export type Language = 'en' | 'de'
export const LANGUAGES: readonly [Language, ...Language[]] = ['en', 'de']
/** What a language is called by those who speak it. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', de: 'Deutsch' }
export const TABLES: Record<Language, Table<Key>> = { en, de }
