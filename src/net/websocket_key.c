/* The handshake of WebSocket: keys, and what is said to them. See websocket.h. */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <uv.h>

#include "net/websocket.h"

enum { KEY_BYTES = 16 };

bool websocket_is_key(const char *key, size_t size)
{
	unsigned char bytes[KEY_BYTES + 2], again[WEBSOCKET_KEY_SIZE + 1];

	if (size != WEBSOCKET_KEY_SIZE ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)key, (int)size) !=
		    KEY_BYTES + 2)
		return false;
	EVP_EncodeBlock(again, bytes, KEY_BYTES);
	return memcmp(again, key, size) == 0;
}

int websocket_new_key(char ret_key[static WEBSOCKET_KEY_SIZE + 1])
{
	unsigned char bytes[KEY_BYTES];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return UV_EIO;
	EVP_EncodeBlock((unsigned char *)ret_key, bytes, sizeof(bytes));
	return 0;
}

int websocket_accept(const char *key, size_t size,
		     char ret_accept[static WEBSOCKET_ACCEPT_SIZE + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[WEBSOCKET_KEY_SIZE + sizeof(guid)];
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_size;

	if (size != WEBSOCKET_KEY_SIZE)
		return UV_EINVAL;
	memcpy(text, key, size);
	memcpy(text + size, guid, sizeof(guid) - 1);
	if (EVP_Digest(text, size + sizeof(guid) - 1, hash, &hash_size,
		       EVP_sha1(), NULL) != 1)
		return UV_ENOMEM;
	EVP_EncodeBlock((unsigned char *)ret_accept, hash, (int)hash_size);
	return 0;
}
