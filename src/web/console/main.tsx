/** The console: what an operator sees and does, in a browser. A view is loaded when it is opened. */
import { render } from 'preact'
import { App } from './app.tsx'
import { loadSession, watchPlace } from './core/state.ts'
import '../shared/theme.css'
import './console.css'

watchPlace()
const root = document.getElementById('page')
if (root) render(<App />, root)
void loadSession()
