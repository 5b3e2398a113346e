/*
Who we are to the agent: the key that the link has brought, and every request that is made with it.

The key is kept for this tab alone, in sessionStorage, which knows ports where cookies do not; the token leaves the
address as soon as this runs. The browser has put the link into its history by then.
*/

const NAME = 'vitalsd-key';

/** What the API does not do: `status`, `message`, its sentence, and the capture that was refused, if it is about one. */
export class Refused extends Error {
  constructor(status, { error, capture = null }) {
    super(error);
    this.name = 'Refused';
    this.status = status;
    this.capture = capture;
  }
}

let key = takeKey();

/** Requests to the agent that this page came from; all answer with parsed JSON but `open`. */
export const api = {
  /** Whether we have the key: without it the page may look, and changes nothing. */
  get mayChange() {
    return key !== null;
  },
  get: (path) => parsed(path, { method: 'GET' }),
  post: (path, body) => parsed(path, { method: 'POST', body }),
  patch: (path, body) => parsed(path, { method: 'PATCH', body }),
  remove: (path) => parsed(path, { method: 'DELETE' }),
  open: (path, options = {}) => asked(path, { method: 'GET', ...options }),
};

/** Have a new cookie, by which a browser opens files and modules; the one before has ended with its agent. */
export async function renew() {
  if (key !== null) await asked('/', { method: 'GET' });
}

async function parsed(path, wanted) {
  const answer = await asked(path, wanted);
  return answer.status === 204 ? null : answer.json();
}

async function asked(path, { method, body, signal }) {
  const headers = new Headers();
  if (key !== null) headers.set('Authorization', `Bearer ${key}`);
  if (body !== undefined) headers.set('Content-Type', 'application/json');
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: sent, signal, cache: 'no-store', redirect: 'error' });
  if (answer.ok) return answer;
  if (answer.status === 401 && method !== 'GET') forget();
  throw new Refused(answer.status, await refusal(answer));
}

async function refusal(answer) {
  try {
    const told = await answer.json();
    if (typeof told.error === 'string') return told;
  } catch {
    /* it is no JSON: whatever stands between us and the agent has answered */
  }
  return { error: `The agent answers ${answer.status}.` };
}

function takeKey() {
  const place = document.querySelector(`meta[name="${NAME}"]`);
  const brought = place?.getAttribute('content') || null;
  place?.remove();
  if (location.search !== '') history.replaceState(null, '', location.pathname + location.hash);
  try {
    if (brought !== null) sessionStorage.setItem(NAME, brought);
    return brought ?? sessionStorage.getItem(NAME);
  } catch {
    return brought; // storage is switched off: until the page is loaded again
  }
}

/** The agent does not know it: another token holds. */
function forget() {
  key = null;
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    /* it was never there */
  }
}
