// The operations of the document as each client library offers them, behind one face:
// client(operationId, parameters, body) answers {status, headers, body}; a body that is a text is sent
// as the document's media type of it, as it is. No expectations here; those stand in scenario.js.
import { OpenAPIClientAxios } from 'openapi-client-axios';
import SwaggerClient from 'swagger-client';
import create_fetch_client from 'openapi-fetch';

const TEXT_TYPE = 'application/x-ndjson';

async function openapi_client_axios(document, base_url, key) {
  const api = new OpenAPIClientAxios({
    definition: document,
    withServer: { url: base_url },
    axiosConfigDefaults: {
      auth: { username: key.access_key, password: key.secret },
      validateStatus: () => true,
      // A list is its name several times, as the document says; left alone axios writes name[].
      paramsSerializer: { indexes: null },
      // An environment's proxy must not come between a test and its server.
      proxy: false,
    },
  });
  const client = await api.init();
  return async (operation, parameters, body) => {
    const settings = typeof body === 'string' ? { headers: { 'content-type': TEXT_TYPE } } : {};
    const answer = await client[operation](parameters, body, settings);
    return { status: answer.status, headers: { ...answer.headers }, body: answer.data };
  };
}

async function swagger_client(document, base_url, key) {
  const schemes = Object.entries(document.components.securitySchemes);
  const [scheme_name] = schemes.find(
    ([, scheme]) => scheme.type === 'http' && scheme.scheme === 'basic',
  );
  const client = await new SwaggerClient({
    spec: { ...document, servers: [{ url: base_url }] },
    authorizations: { [scheme_name]: { username: key.access_key, password: key.secret } },
  });
  return async (operationId, parameters, requestBody) => {
    // Anything but 2xx is thrown, with the answer inside.
    const answer = await client
      .execute({ operationId, parameters, requestBody })
      .catch((error) => {
        if (!error.response) throw error;
        return error.response;
      });
    return { status: answer.status, headers: answer.headers, body: answer.body };
  };
}

// The method, path and parameters of each operation, for a library that is called by these.
function operations_of(document) {
  const found = {};
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { operationId, parameters = [] }] of Object.entries(methods))
      if (operationId)
        found[operationId] = {
          path,
          method: method.toUpperCase(),
          parameters: parameters.map((one) =>
            one.$ref ? document.components.parameters[one.$ref.split('/').pop()] : one,
          ),
        };
  return found;
}

async function openapi_fetch(document, base_url, key) {
  const token = Buffer.from(`${key.access_key}:${key.secret}`).toString('base64');
  const client = create_fetch_client({
    baseUrl: base_url,
    headers: { authorization: `Basic ${token}` },
  });
  const operations = operations_of(document);
  return async (operation, given, body) => {
    const { path, method, parameters } = operations[operation];
    const params = {};
    for (const { name, in: place } of parameters)
      if (name in given) params[place] = { ...params[place], [name]: given[name] };
    const as_text = typeof body === 'string' && {
      bodySerializer: (text) => text,
      headers: { 'content-type': TEXT_TYPE },
    };
    const { data, error, response } = await client[method](path, { params, body, ...as_text });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers.entries()),
      body: data ?? error,
    };
  };
}

const libraries = { openapi_client_axios, swagger_client, openapi_fetch };

// Those of Gong's API have short names.
function named(call) {
  return {
    call,
    give: (body) => call('addUsersAccessToCalls', {}, body),
    list: (body) => call('getUsersAccessToCalls', {}, body),
    remove: (body) => call('deleteUsersAccessToCalls', {}, body),
  };
}

export const makers = Object.fromEntries(
  Object.entries(libraries).map(([name, make]) => [
    name,
    async (...settings) => named(await make(...settings)),
  ]),
);
