/** Before each file of tests, in its process. */
import './capture/test-process.ts'
import { afterAll } from 'vitest'
import { endOfFile } from './end-of-file.ts'

afterAll(endOfFile)
