// Passkeys: the browser signs a challenge of the server, and the answer travels in the form's field "credential".

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0))
const text = (buffer) => buffer && btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')

const readable = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }))

async function create (options, alone) {
  const asked = options.publicKey
  const choice = { ...asked.authenticatorSelection }
  if (alone !== undefined) {
    choice.residentKey = alone ? 'required' : 'discouraged'
    choice.requireResidentKey = alone
    if (alone) choice.userVerification = 'required'
  }
  const made = await navigator.credentials.create({
    publicKey: {
      ...asked,
      challenge: bytes(asked.challenge),
      user: { ...asked.user, id: bytes(asked.user.id) },
      excludeCredentials: readable(asked.excludeCredentials),
      authenticatorSelection: choice
    }
  })
  return answer(made, {
    attestationObject: text(made.response.attestationObject),
    transports: made.response.getTransports ? made.response.getTransports() : []
  })
}

async function get (options) {
  const asked = options.publicKey
  const found = await navigator.credentials.get({
    publicKey: { ...asked, challenge: bytes(asked.challenge), allowCredentials: readable(asked.allowCredentials) }
  })
  return answer(found, {
    authenticatorData: text(found.response.authenticatorData),
    signature: text(found.response.signature),
    userHandle: text(found.response.userHandle)
  })
}

function answer (credential, response) {
  return {
    type: credential.type,
    id: credential.id,
    rawId: text(credential.rawId),
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { clientDataJSON: text(credential.response.clientDataJSON), ...response }
  }
}

async function optionsFor (form) {
  if (form.dataset.passkey !== 'login') return JSON.parse(document.getElementById('js_data').textContent)
  const reply = await fetch(form.action, { headers: { Accept: 'application/json' } })
  if (!reply.ok) throw new Error(`the server answered ${reply.status}`)
  return reply.json()
}

async function use (form) {
  const options = await optionsFor(form)
  const alone = form.elements.passwordless
  const made = form.dataset.passkey === 'create'
    ? await create(options.creation_options, alone ? alone.checked : undefined)
    : await get(options.request_options)
  form.elements.credential.value = JSON.stringify(made)
  form.submit()
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  if (!window.PublicKeyCredential) continue
  const button = form.querySelector('button')
  const complaint = form.querySelector('[role="alert"]')
  form.hidden = false
  form.addEventListener('submit', (event) => event.preventDefault())
  button.addEventListener('click', async () => {
    complaint.hidden = true
    button.disabled = true
    try {
      await use(form)
    } catch (error) {
      complaint.textContent = 'The passkey was not used: it was cancelled, took too long, or is not known on this ' +
        'device. Try again, or take another way.'
      complaint.hidden = false
    } finally {
      button.disabled = false
    }
  })
}
