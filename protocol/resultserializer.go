package protocol

import "fmt"

// SerializeResult rewrites JSON in the format of a result_serializer, by kombu's
// name or MIME type of it: json, msgpack or yaml; "" is json. It returns the
// content type and encoding that a message of it carries. Values in kombu's
// wrappers stay wrapped: only Celery's JSON reader undoes that.
func SerializeResult(name string, body Raw) (data []byte, mime, encoding string, err error) {
	s, err := resultSerializer(name)
	if err != nil {
		return nil, "", "", err
	}
	data, err = s.fromJSON(body)
	if err != nil {
		return nil, "", "", fmt.Errorf("write as %s: %w", s.name, err)
	}
	return data, s.mime, s.encoding, nil
}

// DeserializeResult is the way back.
func DeserializeResult(name string, data []byte) (Raw, error) {
	s, err := resultSerializer(name)
	if err != nil {
		return nil, err
	}
	body, err := s.toJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read as %s: %w", s.name, err)
	}
	return body, nil
}

func resultSerializer(name string) (serializer, error) {
	if name == "" {
		name = "json"
	}
	s, ok := serializerOf(name)
	if !ok || s.fromJSON == nil {
		return s, fmt.Errorf("results serialized as %.60q are not supported: set result_serializer to json, msgpack or yaml on all sides", name)
	}
	return s, nil
}
